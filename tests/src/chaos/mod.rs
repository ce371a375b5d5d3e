//! The fault suite: thousands of requests by a seeded plan while a seeded schedule breaks everything that
//! can be broken, and a judge of the product's own API and of what the jobs say.
//!
//! | module | owns |
//! |---|---|
//! | `mix`, `kinds`, `plan` | what is asked for, and how each request may end: nothing but the seed |
//! | `faults` | what breaks when: nothing but the seed |
//! | `world`, `setting`, `proxy` | the run's own servers and processes, and the proxies between them |
//! | `creator`, `wreck` | carrying out plan and schedule |
//! | `job`, `ledger` | what the jobs do, and what they say about themselves |
//! | `observer` | what can be seen of each status from outside |
//! | `check`, `report` | the judge, and what it tells people |
//! | `run`, `aftermath` | one run from its seed to its report, and what is left after it |
//! | `scenes` | single scenes that take too long for the tests |

mod aftermath;
pub mod check;
pub mod clock;
pub mod creator;
pub mod faults;
pub mod job;
pub mod kinds;
pub mod ledger;
pub mod mix;
pub mod observer;
pub mod plan;
pub mod proxy;
pub mod report;
mod run;
pub mod scenes;
pub mod setting;
pub mod world;
pub mod wreck;

pub use run::{Options, run};
