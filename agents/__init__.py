"""The shop's services: pure rules, and the one runtime that lets them live on Kafka."""
