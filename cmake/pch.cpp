// Holds the precompiled header that the rooms reuse.
