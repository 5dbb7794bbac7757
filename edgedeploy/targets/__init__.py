"""What a device receives, one package a platform."""
