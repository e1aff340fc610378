"""What runs on an agent's machine: the hook, its spool, the shipper and the installer."""
