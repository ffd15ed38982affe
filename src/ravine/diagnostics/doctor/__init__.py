"""A visit to the doctor: a failing training watched, changes of it tried beside it, one recommended."""
