//! Reviews as a real API server sent them (`tests/e2e` captures them), and the answers to them.
