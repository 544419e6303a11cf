"""Any video to motion and animation."""
