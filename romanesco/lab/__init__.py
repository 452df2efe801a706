"""Names become objects, objects become runs, runs become folders."""
