"""maskvfi inside other programs. The library itself imports none of these modules."""
