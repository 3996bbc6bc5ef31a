"""Sheets and pages: pictures and records in, a file's bytes out."""
