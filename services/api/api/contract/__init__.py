"""CORE: the API's word: what may be asked, what is answered, what can go wrong, in which format."""
