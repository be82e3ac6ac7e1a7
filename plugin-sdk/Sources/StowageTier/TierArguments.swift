// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// What `init` gets: the host, the page size and the options. Valid during `init` only; `host` may be kept.
public struct TierArguments {
  /// The host, for this instance.
  public let host: TierHost
  /// Bytes in a page, and in a slot of a backing.
  public let pageSize: Int
  /// Of the objects that this instance will encode.
  public let epoch: UInt32
  /// Unique in the chain, such as "zstd" or "zstd-2".
  public let instanceName: String

  private let values: UnsafePointer<stowage_option_value>?
  private let valueCount: Int
  private let options: UnsafePointer<stowage_option>?

  init(_ arguments: stowage_open, _ host: TierHost, _ description: TierDescription) {
    self.host = host
    pageSize = Int(arguments.page_size)
    epoch = arguments.epoch
    instanceName = String(cString: arguments.instance_name)
    values = arguments.options
    options = description.raw.options
    valueCount = min(Int(arguments.option_count), Int(description.raw.option_count))
  }

  /// The value of a `.number` or `.bytes` option: given, or the default. It lies between the option's bounds, whatever
  /// the host says.
  public func number(_ key: StaticString) throws(TierError) -> Int {
    let (value, option) = try entry(key)
    guard value.number >= option.number_min, value.number <= option.number_max else {
      throw host.fail(
        .invalid, "option '\(key)' is \(value.number), not from \(option.number_min) to \(option.number_max)")
    }
    return Int(value.number)
  }

  /// The value of a `.flag` option.
  public func flag(_ key: StaticString) throws(TierError) -> Bool {
    try value(key).number != 0
  }

  /// The value of a `.text`, `.path` or `.choice` option; nil if it was not given and has no default.
  public func text(_ key: StaticString) throws(TierError) -> String? {
    let value = try value(key)
    guard let text = value.text, let length = Int(exactly: value.text_length) else { return nil }
    return text.withMemoryRebound(to: UInt8.self, capacity: length) {
      String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
    }
  }

  /// The bytes of a text in the host's memory, valid until `init` returns; nil as for ``text(_:)``. For secrets: no
  /// copy of theirs is made that nobody wipes.
  public func borrowedText(_ key: StaticString) throws(TierError) -> UnsafeRawBufferPointer? {
    let value = try value(key)
    guard let text = value.text, let length = Int(exactly: value.text_length) else { return nil }
    return UnsafeRawBufferPointer(start: text, count: length)
  }

  /// Whether the user gave this option.
  public func isGiven(_ key: StaticString) throws(TierError) -> Bool {
    try value(key).given != 0
  }

  /// The value at the place that the key has in the tier's own table.
  private func value(_ key: StaticString) throws(TierError) -> stowage_option_value { try entry(key).value }

  private func entry(_ key: StaticString) throws(TierError) -> (value: stowage_option_value, option: stowage_option) {
    if let options, let values {
      let wanted = key.description
      for index in 0..<valueCount where String(cString: options[index].key) == wanted {
        return (values[index], options[index])
      }
    }
    throw host.fail(.invalid, "this tier's table has no option '\(key)'")
  }
}
