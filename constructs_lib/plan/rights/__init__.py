"""What a change lets somebody do who could not do it before."""
