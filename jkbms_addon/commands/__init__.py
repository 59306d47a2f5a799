"""Changing settings of a BMS: ranges, rules between parameters, the queue, the audit."""
