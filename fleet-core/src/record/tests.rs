//! Journals written and read, and the folder that they are in.
