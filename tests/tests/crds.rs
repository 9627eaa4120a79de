//! The kinds install on a real API server, which refuses each bad manifest with a message that says why.
