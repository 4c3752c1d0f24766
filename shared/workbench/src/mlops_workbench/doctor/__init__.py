"""Says what is wrong with the machine, the credentials, the configuration and the foundation, and what to do.

Looks, and changes nothing. The modules run on Python 3.8 and newer with nothing installed: whoever has the
wrong Python is told so, not shown a syntax error.
"""
