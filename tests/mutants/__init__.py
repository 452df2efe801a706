"""Objects that break one law each, so that a law that says nothing is noticed."""
