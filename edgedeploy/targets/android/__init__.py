"""Android deliverables: the signing key and the asset-only APK."""
