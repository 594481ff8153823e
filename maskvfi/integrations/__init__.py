"""maskvfi inside other programs; none of these modules is imported by the library itself."""
