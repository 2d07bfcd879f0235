"""The guarded way out: whoever sends a request to an address that somebody else chose, sends
it through here.

Addresses are checked where they are used, when the socket is made, so that neither a name that
resolves anew nor a spelling that only the resolver understands leads inside.
"""
