"""Every answer for a node's Services, computed ahead for a page that looks them up."""
