//! A followed cluster on a scripted API server: what is published after which lists, events and losses.

