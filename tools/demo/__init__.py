"""`make demo`: runs a tutorial. The page is what is run, so that the demo and the tutorial cannot differ."""
