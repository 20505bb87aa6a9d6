"""Recipe of the guest image, see ../README.md."""
