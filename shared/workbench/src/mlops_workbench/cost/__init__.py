"""What this repository costs in a month: its configuration times AWS's prices, as it is used."""
