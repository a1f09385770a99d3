"""Every kind of object harmed in every way."""
