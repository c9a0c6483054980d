"""What Argo CD defines: objects as it reads them, projects and what they permit, the order of a sync."""
