//! The alert bot: bounded, proven, recorded repairs through systemd.
