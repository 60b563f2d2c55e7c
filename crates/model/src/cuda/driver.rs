//! The driver's objects as owned values: context, stream, event, device memory, pinned memory, module, graph.
//!
//! Each is freed when dropped, on the thread that made it (none of them is `Send`). Knows no kernel and no model; the
//! launch itself is in `launch`.
#![expect(unsafe_code, reason = "the driver is a C interface")]

use super::error::{Error, Result, fits, same};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};
use std::cell::Cell;
use std::ffi::{CStr, CString, c_int, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::rc::Rc;

/// The oldest architecture the kernels are compiled for.
const OLDEST: (i32, i32) = (8, 0);
/// The oldest driver interface the bindings fit.
const OLDEST_DRIVER: i32 = 13_000;

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// Its name, as the driver gives it.
    pub name: String,
    /// Architecture of its code, `sm_90`.
    pub architecture: String,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Shared memory one block may have at most, in bytes.
    pub shared_memory: usize,
    /// Device memory in bytes.
    pub memory: usize,
    /// Version of the driver's interface, `13000` for 13.0.
    pub driver: i32,
}

/// A device in use by this process.
pub(crate) struct Context {
    device: sys::CUdevice,
    properties: Properties,
    /// Bytes of live allocations, rounded as the driver rounds them.
    allocated: Cell<usize>,
    /// Counts releases of memory: a recorded address is good for one value of this.
    releases: Cell<u64>,
}

impl Context {
    /// Takes device `ordinal` into use, with the driver library from `libraries` first.
    pub(crate) fn new(ordinal: usize, libraries: &[PathBuf]) -> Result<Rc<Self>> {
        super::libs::driver(libraries)?;
        // SAFETY: libs::driver found the library and every function called in this file; here and below, out-pointers
        // are to live values of the pointee's type.
        unsafe {
            match sys::cuInit(0) {
                CUresult::CUDA_SUCCESS => {}
                CUresult::CUDA_ERROR_NO_DEVICE => {
                    return Err(Error::NoDevice { reason: describe(CUresult::CUDA_ERROR_NO_DEVICE).1 });
                }
                code => {
                    let (name, message) = describe(code);
                    return Err(Error::NoDevice { reason: format!("{name}: {message}") });
                }
            }
            let (mut count, mut driver, mut device) = (0, 0, 0);
            check("cuDeviceGetCount", sys::cuDeviceGetCount(&raw mut count))?;
            let count = usize::try_from(count).unwrap_or(0);
            if count == 0 {
                return Err(Error::NoDevice { reason: "it counts none".into() });
            }
            if ordinal >= count {
                return Err(Error::NoSuchDevice { ordinal, count });
            }
            check("cuDriverGetVersion", sys::cuDriverGetVersion(&raw mut driver))?;
            if driver < OLDEST_DRIVER {
                return Err(Error::MissingSymbols {
                    library: format!("the CUDA driver (interface {}.{})", driver / 1000, driver % 1000 / 10),
                    missing: "the interface of CUDA 13".into(),
                });
            }
            check(
                "cuDeviceGet",
                sys::cuDeviceGet(&raw mut device, c_int::try_from(ordinal).unwrap_or(c_int::MAX)),
            )?;
            let mut name = [0; 128];
            check("cuDeviceGetName", sys::cuDeviceGetName(name.as_mut_ptr(), 128, device))?;
            let name = CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned();
            let attribute = |which| -> Result<i32> {
                let mut value = 0;
                check("cuDeviceGetAttribute", sys::cuDeviceGetAttribute(&raw mut value, which, device))?;
                Ok(value)
            };
            let capability = (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            );
            let architecture = format!("sm_{}{}", capability.0, capability.1);
            if capability < OLDEST {
                let accepted = format!("sm_{}{} or later", OLDEST.0, OLDEST.1);
                return Err(Error::Architecture { name, found: architecture, accepted });
            }
            let mut memory = 0;
            check("cuDeviceTotalMem", sys::cuDeviceTotalMem_v2(&raw mut memory, device))?;
            let size = |value: i32| usize::try_from(value).unwrap_or(0);
            let properties = Properties {
                name,
                architecture,
                capability,
                multiprocessors: size(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?),
                shared_memory: size(attribute(
                    Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
                )?),
                memory,
                driver,
            };
            let mut context = null_mut();
            check("cuDevicePrimaryCtxRetain", sys::cuDevicePrimaryCtxRetain(&raw mut context, device))?;
            let owned = Rc::new(Self { device, properties, allocated: Cell::new(0), releases: Cell::new(0) });
            check("cuCtxSetCurrent", sys::cuCtxSetCurrent(context))?;
            Ok(owned)
        }
    }

    pub(crate) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Free and total device memory in bytes.
    pub(crate) fn memory(&self) -> Result<(usize, usize)> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: a context is current on this thread, since `self` exists and does not leave it.
        check("cuMemGetInfo", unsafe { sys::cuMemGetInfo_v2(&raw mut free, &raw mut total) })?;
        Ok((free, total))
    }

    /// Bytes of live allocations, rounded as the driver rounds them.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated.get()
    }

    /// How often memory was released so far.
    pub(crate) fn releases(&self) -> u64 {
        self.releases.get()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once in `new`; memory, streams and modules hold an `Rc` of this and are gone. An error at
        // shutdown has nobody to tell.
        unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}

/// What one allocation takes from the device: small ones share pages of 2 MiB, large ones take whole pages.
pub(crate) fn rounded(bytes: usize) -> usize {
    const PAGE: usize = 2 << 20;
    if bytes < PAGE / 2 { bytes.next_multiple_of(512) } else { bytes.next_multiple_of(PAGE) }
}

/// Memory on the device. Its contents are whatever was there.
pub(crate) struct Memory {
    context: Rc<Context>,
    address: u64,
    bytes: usize,
}

impl Memory {
    /// `bytes` bytes for `what`.
    pub(crate) fn new(context: &Rc<Context>, what: &'static str, bytes: usize) -> Result<Self> {
        let mut address = 0;
        if bytes > 0 {
            // SAFETY: a context is current; the pointer is to a live integer.
            match unsafe { sys::cuMemAlloc_v2(&raw mut address, bytes) } {
                CUresult::CUDA_SUCCESS => {}
                CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                    let free = context.memory().map_or(0, |m| m.0);
                    return Err(Error::OutOfMemory { what, wanted: bytes, free });
                }
                code => check("cuMemAlloc", code)?,
            }
            context.allocated.set(context.allocated.get() + rounded(bytes));
        }
        Ok(Self { context: context.clone(), address, bytes })
    }

    /// The device address; 0 for an empty allocation.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies `data` to `offset`, in the order of `stream`. The caller may reuse `data` at once.
    pub(crate) fn write(&self, stream: &Stream, offset: usize, data: &[u8]) -> Result<()> {
        fits("copy to the device", "its end", offset.saturating_add(data.len()), self.bytes)?;
        if data.is_empty() {
            return Ok(());
        }
        // SAFETY: the range lies inside this allocation (checked above). `data` is pageable host memory, which the
        // driver stages before it returns, so the borrow suffices.
        check("cuMemcpyHtoDAsync", unsafe {
            sys::cuMemcpyHtoDAsync_v2(
                self.address + offset as u64,
                data.as_ptr().cast(),
                data.len(),
                stream.raw,
            )
        })
    }

    /// Copies the pinned bytes `0 .. len` to `offset`, in the order of `stream`. The source must not be written before
    /// an event recorded behind this copy has passed; `Pinned` sees to it.
    fn write_pinned(&self, stream: &Stream, offset: usize, source: &Pinned, len: usize) -> Result<()> {
        fits("copy to the device", "its end", offset.saturating_add(len), self.bytes)?;
        fits("copy to the device", "its length", len, source.bytes)?;
        // SAFETY: both ranges lie inside their allocations (checked above); `Pinned::send` keeps the source unchanged
        // until the copy has passed.
        check("cuMemcpyHtoDAsync", unsafe {
            sys::cuMemcpyHtoDAsync_v2(self.address + offset as u64, source.address, len, stream.raw)
        })
    }

    /// Waits for `stream` and copies the range into `data`.
    pub(crate) fn read(&self, stream: &Stream, offset: usize, data: &mut [u8]) -> Result<()> {
        fits("copy from the device", "its end", offset.saturating_add(data.len()), self.bytes)?;
        if data.is_empty() {
            return stream.wait();
        }
        // SAFETY: the range lies inside this allocation (checked above); the borrow outlives the wait below.
        check("cuMemcpyDtoHAsync", unsafe {
            sys::cuMemcpyDtoHAsync_v2(
                data.as_mut_ptr().cast(),
                self.address + offset as u64,
                data.len(),
                stream.raw,
            )
        })?;
        stream.wait()
    }

    /// Waits for `stream` and copies rows of `width` bytes that lie `pitch` bytes apart, from `offset` on, into `data`, one
    /// behind the other.
    pub(crate) fn read_rows(
        &self,
        stream: &Stream,
        offset: usize,
        pitch: usize,
        width: usize,
        data: &mut [u8],
    ) -> Result<()> {
        let rows = data.len() / width.max(1);
        if rows == 0 {
            return stream.wait();
        }
        same("copy from the device", "its bytes", data.len(), rows * width)?;
        fits("copy from the device", "a row", width, pitch)?;
        let end = offset.saturating_add((rows - 1).saturating_mul(pitch)).saturating_add(width);
        fits("copy from the device", "its end", end, self.bytes)?;
        let copy = sys::CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            srcHost: std::ptr::null(),
            srcDevice: self.address + offset as u64,
            srcArray: null_mut(),
            srcPitch: pitch,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_HOST,
            dstHost: data.as_mut_ptr().cast(),
            dstDevice: 0,
            dstArray: null_mut(),
            dstPitch: width,
            WidthInBytes: width,
            Height: rows,
        };
        // SAFETY: the rows lie inside this allocation and fill `data` (checked above); the borrow outlives the wait below.
        check("cuMemcpy2DAsync", unsafe { sys::cuMemcpy2DAsync_v2(&raw const copy, stream.raw) })?;
        stream.wait()
    }

    /// Copies `bytes` bytes from another allocation, in the order of `stream`.
    pub(crate) fn copy_from(
        &self,
        stream: &Stream,
        offset: usize,
        source: &Self,
        source_offset: usize,
        bytes: usize,
    ) -> Result<()> {
        fits("copy on the device", "its end", offset.saturating_add(bytes), self.bytes)?;
        fits("copy on the device", "its source's end", source_offset.saturating_add(bytes), source.bytes)?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: both ranges lie inside their allocations (checked above), which are distinct.
        check("cuMemcpyDtoDAsync", unsafe {
            sys::cuMemcpyDtoDAsync_v2(
                self.address + offset as u64,
                source.address + source_offset as u64,
                bytes,
                stream.raw,
            )
        })
    }

    /// Sets every byte, in the order of `stream`.
    pub(crate) fn fill(&self, stream: &Stream, byte: u8) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        // SAFETY: the whole of this allocation.
        check("cuMemsetD8Async", unsafe { sys::cuMemsetD8Async(self.address, byte, self.bytes, stream.raw) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: allocated once in `new`. cuMemFree waits for work that uses the memory.
            unsafe { sys::cuMemFree_v2(self.address) };
            self.context.allocated.set(self.context.allocated.get() - rounded(self.bytes));
            self.context.releases.set(self.context.releases.get() + 1);
        }
    }
}

/// Host memory the device reads at full speed, with the event that says when it has.
pub(crate) struct Pinned {
    address: *mut c_void,
    bytes: usize,
    sent: Event,
    _context: Rc<Context>,
}

impl Pinned {
    pub(crate) fn new(context: &Rc<Context>, bytes: usize) -> Result<Self> {
        let mut address = null_mut();
        // SAFETY: a context is current; the pointer is to a live pointer.
        check("cuMemHostAlloc", unsafe { sys::cuMemHostAlloc(&raw mut address, bytes.max(1), 0) })?;
        let sent = Event::new(context)?;
        Ok(Self { address, bytes, sent, _context: context.clone() })
    }

    /// The bytes, once the device has read what was sent last.
    pub(crate) fn bytes_mut(&mut self) -> Result<&mut [u8]> {
        self.sent.wait()?;
        // SAFETY: the allocation has this many bytes, is initialised as far as a reader can tell (plain bytes), lives as
        // long as `self`, and the device has finished reading it.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.address.cast::<u8>(), self.bytes) })
    }

    /// Sends the first `len` bytes to `offset` of `target`.
    pub(crate) fn send(&mut self, stream: &Stream, target: &Memory, offset: usize, len: usize) -> Result<()> {
        target.write_pinned(stream, offset, self, len)?;
        self.sent.record(stream)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The device may still be reading; an error here has nobody to tell.
        let _ = self.sent.wait();
        // SAFETY: allocated once in `new`, no longer read by the device.
        unsafe { sys::cuMemFreeHost(self.address) };
    }
}

/// A queue of work on the device.
pub(crate) struct Stream {
    raw: sys::CUstream,
    _context: Rc<Context>,
}

impl Stream {
    pub(crate) fn new(context: &Rc<Context>) -> Result<Rc<Self>> {
        let mut raw = null_mut();
        // SAFETY: a context is current; the pointer is to a live handle. 1 is CU_STREAM_NON_BLOCKING.
        check("cuStreamCreate", unsafe { sys::cuStreamCreate(&raw mut raw, 1) })?;
        Ok(Rc::new(Self { raw, _context: context.clone() }))
    }

    pub(super) fn raw(&self) -> sys::CUstream {
        self.raw
    }

    /// Waits until everything queued is done; errors of the work itself surface here.
    pub(crate) fn wait(&self) -> Result<()> {
        // SAFETY: the stream is live.
        check("cuStreamSynchronize", unsafe { sys::cuStreamSynchronize(self.raw) })
    }

    /// Records what `queue` puts on this stream, without running it.
    pub(crate) fn capture(&self, queue: impl FnOnce() -> Result<()>) -> Result<Graph> {
        // SAFETY: the stream is live and not capturing: captures do not nest, this is the only place that begins one.
        check("cuStreamBeginCapture", unsafe {
            sys::cuStreamBeginCapture_v2(
                self.raw,
                sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
            )
        })?;
        let queued = queue();
        let mut graph = null_mut();
        // SAFETY: the stream is capturing, since the call above; the pointer is to a live handle.
        let ended = check("cuStreamEndCapture", unsafe { sys::cuStreamEndCapture(self.raw, &raw mut graph) });
        queued?;
        ended?;
        let mut raw = null_mut();
        // SAFETY: the graph is live and ours; it is destroyed once, instantiated or not.
        let made =
            check("cuGraphInstantiate", unsafe { sys::cuGraphInstantiateWithFlags(&raw mut raw, graph, 0) });
        // SAFETY: as above.
        unsafe { sys::cuGraphDestroy(graph) };
        made?;
        Ok(Graph { raw, _context: self._context.clone() })
    }

    /// Queues a recorded graph.
    pub(crate) fn launch(&self, graph: &Graph) -> Result<()> {
        // SAFETY: both are live. The addresses in the graph are valid: `graph::Cache` forgets a graph when memory is released.
        check("cuGraphLaunch", unsafe { sys::cuGraphLaunch(graph.raw, self.raw) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: created once in `new`.
        unsafe { sys::cuStreamDestroy_v2(self.raw) };
    }
}

/// A recorded pass, ready to run again.
pub(crate) struct Graph {
    raw: sys::CUgraphExec,
    _context: Rc<Context>,
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: instantiated once in `Stream::capture`.
        unsafe { sys::cuGraphExecDestroy(self.raw) };
    }
}

/// A point in a stream.
pub(crate) struct Event {
    raw: sys::CUevent,
    _context: Rc<Context>,
}

impl Event {
    pub(crate) fn new(context: &Rc<Context>) -> Result<Self> {
        let mut raw = null_mut();
        // SAFETY: a context is current; the pointer is to a live handle. 0 is CU_EVENT_DEFAULT.
        check("cuEventCreate", unsafe { sys::cuEventCreate(&raw mut raw, 0) })?;
        Ok(Self { raw, _context: context.clone() })
    }

    pub(crate) fn record(&self, stream: &Stream) -> Result<()> {
        // SAFETY: both are live.
        check("cuEventRecord", unsafe { sys::cuEventRecord(self.raw, stream.raw) })
    }

    /// Waits until the point is passed; at once when it was never recorded.
    pub(crate) fn wait(&self) -> Result<()> {
        // SAFETY: the event is live.
        check("cuEventSynchronize", unsafe { sys::cuEventSynchronize(self.raw) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created once in `new`.
        unsafe { sys::cuEventDestroy_v2(self.raw) };
    }
}

/// Loaded device code.
pub(crate) struct Module {
    raw: sys::CUmodule,
    _context: Rc<Context>,
}

impl Module {
    /// Loads a cubin, which has to be for this device's architecture.
    pub(crate) fn new(context: &Rc<Context>, cubin: &[u8]) -> Result<Rc<Self>> {
        let mut raw = null_mut();
        // SAFETY: a context is current; a cubin states its own size, and came from the compiler or from the cache under a
        // digest of its sources.
        check("cuModuleLoadData", unsafe { sys::cuModuleLoadData(&raw mut raw, cubin.as_ptr().cast()) })?;
        Ok(Rc::new(Self { raw, _context: context.clone() }))
    }

    /// The kernel of that name, with room for `shared` bytes of dynamic shared memory.
    pub(crate) fn function(self: &Rc<Self>, name: &str, shared: usize) -> Result<Function> {
        const USUAL_SHARED: usize = 48 << 10;
        let text = CString::new(name).map_err(|_| Error::Compiler {
            call: "cuModuleGetFunction",
            message: "a NUL in a kernel's name".into(),
        })?;
        let mut raw = null_mut();
        // SAFETY: the module is live; the name ends in NUL and outlives the call.
        check("cuModuleGetFunction", unsafe {
            sys::cuModuleGetFunction(&raw mut raw, self.raw, text.as_ptr())
        })?;
        let function = Function { raw, _module: self.clone() };
        if shared > USUAL_SHARED {
            let bytes = c_int::try_from(shared).unwrap_or(c_int::MAX);
            let which = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is live.
            check("cuFuncSetAttribute", unsafe { sys::cuFuncSetAttribute(function.raw, which, bytes) })?;
        }
        Ok(function)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded once in `new`; functions hold an `Rc` of this and are gone.
        unsafe { sys::cuModuleUnload(self.raw) };
    }
}

/// A kernel.
#[derive(Clone)]
pub(crate) struct Function {
    raw: sys::CUfunction,
    _module: Rc<Module>,
}

impl Function {
    pub(super) fn raw(&self) -> sys::CUfunction {
        self.raw
    }
}

/// An error unless the driver said success.
pub(super) fn check(call: &'static str, code: CUresult) -> Result<()> {
    match code {
        CUresult::CUDA_SUCCESS => Ok(()),
        code => {
            let (name, message) = describe(code);
            Err(Error::Driver { call, name, message })
        }
    }
}

fn describe(code: CUresult) -> (String, String) {
    let read = |get: unsafe fn(CUresult, *mut *const std::ffi::c_char) -> CUresult| {
        let mut text = std::ptr::null();
        // SAFETY: the function is there (libs::driver), the pointer is to a live pointer; the driver answers with a
        // static string, or leaves it null for a code it does not know.
        unsafe {
            get(code, &raw mut text);
            if text.is_null() {
                String::from("unknown")
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            }
        }
    };
    (read(sys::cuGetErrorName), read(sys::cuGetErrorString))
}
