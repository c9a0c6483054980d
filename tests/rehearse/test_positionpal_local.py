"""PositionPal's local environment, installed on a real API server by a real Argo CD."""

from stage import PositionPalRollout


class TestLocal(PositionPalRollout):
    environment = "local"
