"""The tour's acts, one part of Aerie in each: what people do there, and what must be seen for it to count."""
