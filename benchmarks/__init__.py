"""How fast the parts are, each beside what it is compared to, in one run."""
