"""The WebSocket front: live audio in, captions out."""
