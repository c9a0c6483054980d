"""A change rolled out on a real API server and a real Argo CD of this machine, before it is pushed."""
