//! The broker's connection.
