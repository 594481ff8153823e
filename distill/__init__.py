"""The training side of maskvfi: real clips and synthetic motion in, the shipped weights out."""
