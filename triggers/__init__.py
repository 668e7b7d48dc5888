"""The doors by which work comes in: parse, hand over, answer. No business rule."""
