//! Gives a container the Amazon ECS *awsvpc* task network with nothing but an OCI hook.
//!
//! ```text
//!        instance's namespace                │        task's namespace
//!                                            │        (pause container, joined by all others)
//!  eth0 ── the instance's own network        │
//!  eth1 ─────────── the ENI moves ───────────┼──▶ eth0       10.0.0.5/24, default via 10.0.0.1
//!                                            │
//!  ecs-bridge 169.254.172.1/22               │
//!    └─ ecsa9feac0c ═════════ veth ══════════╪══  ecs-eth0   169.254.172.12/22
//!         169.254.170.2 (the credentials)    │               169.254.170.2 via 169.254.172.1
//! ```
//!
//! Two ideas shape the code.
//!
//! **The kernel is the database.** There is no state file, no lease database, no daemon and no lock.
//! What must be remembered is written on the kernel object that it describes, so it lives and dies
//! with it: a task's link-local address is the *name* of its port on the bridge; whose the port and
//! the ENI are, and what the ENI was called, stands in a *label* in their aliases. After any crash,
//! the next call reads from the kernel what is so.
//!
//! **One list of reversible steps.** [`plan`] decides, from what the task wants ([`task`]) and what
//! the kernel shows ([`snapshot`]), on a list of steps; it is pure. [`apply`] makes them happen in
//! order, or undoes them in reverse.
//!
//! A call flows one way, and so do imports: a module uses only those below it in this list.
//!
//! | module | what it is for |
//! |---|---|
//! | [`commands`] | one file a verb: `prestart`, `poststop`, `gc`, … |
//! | [`cli`] | the command line |
//! | [`apply`] | makes steps happen in order, undoes them if one fails |
//! | [`plan`] | from a request and a snapshot to the list of steps; pure |
//! | [`eni`] | the ENI's journey: into a task, out of it, restored |
//! | [`files`] | the files by which a container's programs know names |
//! | [`snapshot`] | what the kernel showed at one moment, and what follows from it |
//! | [`nft`] | our nftables rules |
//! | [`engines`] | what engines read, and `oci-awsvpc-runtime` |
//! | [`input`] | what we are told: state, annotations, configuration |
//! | [`task`] | one task as data: its lease, its label, its branch |
//! | [`kernel`] | the only requests to the kernel |
//! | [`net`] | kernel objects as data |
//! | [`process`] | this process: log, limits, privileges |
//! | [`error`] | errors that read as one line |

pub mod cli;
pub mod commands;
pub mod engines;
pub mod process;

mod apply;
mod eni;
mod error;
mod files;
mod input;
mod kernel;
mod net;
mod nft;
mod plan;
mod snapshot;
mod task;

#[doc(hidden)]
pub mod testing;
