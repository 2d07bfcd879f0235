"""Measuring imgsvc, and showing it: generated photos, the demonstration, the benchmark."""
