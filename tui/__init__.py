"""The terminal dashboard: the same truth as the journal, for a person who leaves it open."""
