//! Incidents, decisions, attempts: the durable memory of the alert bot.
