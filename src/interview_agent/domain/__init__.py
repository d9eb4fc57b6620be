"""Facts and rules of the subject: no driver, no framework, no clock."""
