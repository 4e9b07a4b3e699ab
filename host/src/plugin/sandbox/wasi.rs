//! An empty WASI for guests whose toolchain always imports WASI (JavaScript, Python). Every
//! function exists and returns an empty result: no files, no network, no environment; time and
//! randomness are zero. No function waits or reaches anything outside.

use super::failure::WasiRefused;
use super::host::Host;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker, ResourceDynamic, ResourceType, Type, Val};
use wasmtime::{Result, StoreContextMut, bail, format_err};

/// Prefix of the names of all WASI packages.
pub(crate) const WASI_PREFIX: &str = "wasi:";
/// Most random bytes of one call.
const MAX_RANDOM_BYTES: u64 = 64 * 1024;
/// Bytes that an output stream accepts at a time.
const STREAM_ROOM_BYTES: u64 = 4096;

/// Adds the WASI functions that a component imports to a linker.
///
/// # Errors
///
/// The component imports an interface that is not in WASI 0.2.
pub(crate) fn add_empty_wasi(linker: &mut Linker<Host>, component: &Component) -> Result<()> {
    let engine = linker.engine().clone();
    let world = component.component_type();
    // The names of the resources; the position of a name is the number of the resource. The same
    // name in several interfaces means the same resource.
    let mut resources: Vec<String> = Vec::new();
    for (interface, import) in world.imports(&engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            continue;
        };
        if !interface.starts_with(WASI_PREFIX) {
            continue;
        }
        let mut into = linker.instance(interface)?;
        for (name, item) in instance.exports(&engine) {
            match item.ty {
                ComponentItem::Resource(_) => {
                    let known = resources.iter().position(|other| other == name);
                    let number = known.unwrap_or_else(|| {
                        resources.push(name.to_owned());
                        resources.len() - 1
                    });
                    let ty = ResourceType::host_dynamic(u32::try_from(number)?);
                    into.resource(name, ty, |_, _| Ok(()))?;
                }
                ComponentItem::ComponentFunc(_) => {
                    let function = format!("{}#{name}", unversioned(interface));
                    into.func_new(name, move |store, ty, params, results| {
                        answer_call(store, &function, &ty, params, results)
                    })?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn unversioned(interface: &str) -> &str {
    interface
        .split_once('@')
        .map_or(interface, |(name, _)| name)
}

fn answer_call(
    mut store: StoreContextMut<'_, Host>,
    function: &str,
    ty: &ComponentFunc,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    for param in params {
        drop_resources(&mut store, param)?;
    }
    let Some((result, ty)) = results.first_mut().zip(ty.results().next()) else {
        return match function {
            "wasi:cli/exit#exit" => Err(WasiRefused("it calls exit").into()),
            _ => Ok(()),
        };
    };
    *result = match (function, params) {
        ("wasi:io/poll#poll", [Val::List(pollables)]) => {
            let all = 0..u32::try_from(pollables.len())?;
            Val::List(all.map(Val::U32).collect())
        }
        ("wasi:io/poll#[method]pollable.ready", _) => Val::Bool(true),
        ("wasi:io/streams#[method]output-stream.check-write", _) => {
            Val::Result(Ok(Some(Box::new(Val::U64(STREAM_ROOM_BYTES)))))
        }
        (
            "wasi:random/random#get-random-bytes"
            | "wasi:random/insecure#get-insecure-random-bytes",
            [Val::U64(count)],
        ) if *count <= MAX_RANDOM_BYTES => Val::List(vec![Val::U8(0); usize::try_from(*count)?]),
        _ if function.starts_with("wasi:io/streams#[method]input-stream.") => {
            error_value(&mut store, &ty, |case| case == "closed")?
        }
        _ if is_refused(function) => error_value(&mut store, &ty, |case| {
            matches!(case, "access" | "access-denied" | "HTTP-request-denied")
        })?,
        _ => empty_value(&mut store, &ty)?,
    };
    Ok(())
}

/// Drops the resources of an argument. A borrowed resource must be returned before the call ends;
/// an owned resource is freed.
fn drop_resources(store: &mut StoreContextMut<'_, Host>, value: &Val) -> Result<()> {
    match value {
        Val::Resource(resource) => resource.resource_drop(store),
        Val::List(items) | Val::Tuple(items) => items
            .iter()
            .try_for_each(|item| drop_resources(store, item)),
        Val::Record(fields) => fields
            .iter()
            .try_for_each(|(_, field)| drop_resources(store, field)),
        Val::Option(Some(inner))
        | Val::Variant(_, Some(inner))
        | Val::Result(Ok(Some(inner)) | Err(Some(inner))) => drop_resources(store, inner),
        _ => Ok(()),
    }
}

fn is_refused(function: &str) -> bool {
    ["wasi:filesystem/types#", "wasi:sockets/", "wasi:http/"]
        .iter()
        .any(|prefix| function.starts_with(prefix))
}

/// Returns an error value of a result type, with the case for which `fits` is true, or else the
/// first case. For other types, returns the empty value.
fn error_value(
    store: &mut StoreContextMut<'_, Host>,
    ty: &Type,
    fits: impl Fn(&str) -> bool,
) -> Result<Val> {
    let Type::Result(result) = ty else {
        return empty_value(store, ty);
    };
    let error = match result.err() {
        None => None,
        Some(Type::Enum(cases)) => {
            let case = cases.names().find(|name| fits(name));
            let case = case.or_else(|| cases.names().next()).unwrap_or_default();
            Some(Box::new(Val::Enum(case.to_owned())))
        }
        Some(Type::Variant(cases)) => {
            let case = cases.cases().find(|case| fits(case.name));
            let case = case.or_else(|| cases.cases().next());
            let case = case.ok_or_else(|| format_err!("a variant without cases"))?;
            let payload = case.ty.map(|ty| empty_value(store, &ty)).transpose()?;
            let (name, payload) = (case.name.to_owned(), payload.map(Box::new));
            Some(Box::new(Val::Variant(name, payload)))
        }
        Some(other) => Some(Box::new(empty_value(store, &other)?)),
    };
    Ok(Val::Result(Err(error)))
}

/// Returns the empty value of a type.
fn empty_value(store: &mut StoreContextMut<'_, Host>, ty: &Type) -> Result<Val> {
    Ok(match ty {
        Type::Bool => Val::Bool(false),
        Type::S8 => Val::S8(0),
        Type::U8 => Val::U8(0),
        Type::S16 => Val::S16(0),
        Type::U16 => Val::U16(0),
        Type::S32 => Val::S32(0),
        Type::U32 => Val::U32(0),
        Type::S64 => Val::S64(0),
        Type::U64 => Val::U64(0),
        Type::Float32 => Val::Float32(0.0),
        Type::Float64 => Val::Float64(0.0),
        Type::Char => Val::Char('\0'),
        Type::String => Val::String(String::new()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Map(_) => Val::Map(Vec::new()),
        Type::Flags(_) => Val::Flags(Vec::new()),
        Type::Option(_) => Val::Option(None),
        Type::Record(record) => {
            let mut fields = Vec::new();
            for field in record.fields() {
                fields.push((field.name.to_owned(), empty_value(store, &field.ty)?));
            }
            Val::Record(fields)
        }
        Type::Tuple(tuple) => {
            let mut items = Vec::new();
            for item in tuple.types() {
                items.push(empty_value(store, &item)?);
            }
            Val::Tuple(items)
        }
        Type::Enum(cases) => Val::Enum(cases.names().next().unwrap_or_default().to_owned()),
        Type::Variant(cases) => {
            let first = cases
                .cases()
                .next()
                .ok_or_else(|| format_err!("a variant without cases"))?;
            let payload = first.ty.map(|ty| empty_value(store, &ty)).transpose()?;
            Val::Variant(first.name.to_owned(), payload.map(Box::new))
        }
        Type::Result(result) => {
            let ok = result.ok().map(|ty| empty_value(store, &ty)).transpose()?;
            Val::Result(Ok(ok.map(Box::new)))
        }
        Type::Own(resource) => {
            let host = store.data_mut();
            host.wasi_handles = host
                .wasi_handles
                .checked_add(1)
                .filter(|count| *count <= MAX_HANDLES)
                .ok_or(WasiRefused("it opens too many WASI handles"))?;
            let number = (0..MAX_RESOURCES)
                .find(|number| ResourceType::host_dynamic(*number) == *resource)
                .ok_or_else(|| format_err!("a resource that WASI does not have"))?;
            Val::Resource(ResourceDynamic::new_own(0, number).try_into_resource_any(store)?)
        }
        Type::Borrow(_)
        | Type::Future(_)
        | Type::Stream(_)
        | Type::ErrorContext
        | Type::FixedLengthList(_) => bail!("WASI 0.2 returns no such type"),
    })
}

/// Most handles that one call may open. Each takes memory of the host.
const MAX_HANDLES: u32 = 1024;
/// Bound of the resource types. WASI 0.2 has about thirty.
const MAX_RESOURCES: u32 = 64;
