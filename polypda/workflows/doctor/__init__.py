"""Whether this machine can do what polypda needs: what is installed, where it may write, how it computes."""
