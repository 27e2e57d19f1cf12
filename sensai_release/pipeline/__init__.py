"""One plain function per command: read, call the core, write. The only package that touches a workspace's files."""
