//! Attacks by a user who may create Pods and TaskRuns in one namespace, or by a pod that reaches the observer's
//! ports, each beside an innocent run whose events must arrive, right, while the attack goes on.

mod admin;
mod budget;
mod fairness;
mod memory;
mod ownership;
mod quotas;
mod settings;
mod terminal;
mod unreadable;
