"""What happens when something fails: scenarios on one fabric, measured, with controls."""
