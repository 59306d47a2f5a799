"""The PB series on RS485: pages, frames, registers."""
