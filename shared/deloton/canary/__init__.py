"""A synthetic rider whose heart races now and then, to prove that a mail comes of it."""
