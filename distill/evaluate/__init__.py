"""Measurements: of masks, of interpolated frames."""
