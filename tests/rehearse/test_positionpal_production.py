"""PositionPal's production, installed and changed on a real API server by a real Argo CD whose controller dies."""

from stage import PositionPalRollout


class TestProduction(PositionPalRollout):
    environment = "production"
    kill = True
    reverts = False
