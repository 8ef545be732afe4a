"""Containers: files that hold events in another form than JSON lines."""
